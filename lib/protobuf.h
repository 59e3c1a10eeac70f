/* protobuf: walk the fields of a protocol-buffers message (https://protobuf.dev/programming-guides/encoding), which is
 * what an ONNX file is. Only the wire format: which field means what is the caller's. Nothing is copied; every length
 * is checked against the message, so hostile bytes end the walk and set `bad`.
 *
 *     fw_field f;
 *     while (fw_pb_next(&message, &f)) if (f.id == 7 && f.body.at) ...
 *     if (message.bad) ...
 */
#ifndef FW_PROTOBUF_H
#define FW_PROTOBUF_H

#include "base.h"

/* A message, or what is left of it. */
typedef struct fw_span {
    const uint8_t *at, *end;
    bool bad; /* the bytes so far were no message */
} fw_span;

typedef struct fw_field {
    uint64_t id;
    uint64_t number; /* a number: varint, or 4 or 8 bytes as they stand (little endian) */
    fw_span body;    /* bytes, a text, a message or packed numbers; at NULL for a number */
} fw_field;

/* False at the end, and where the message is damaged. */
bool fw_pb_next(fw_span *s, fw_field *f) FW_MUST_USE;
/* One varint off the front: for packed numbers. 0 with s->bad set when there is none. */
uint64_t fw_pb_varint(fw_span *s);

#endif
