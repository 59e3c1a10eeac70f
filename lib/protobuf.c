#include "protobuf.h"

#include <string.h>

uint64_t fw_pb_varint(fw_span *s)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        const uint8_t byte = *s->at++;
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return v;
    }
    s->bad = true;
    return 0;
}

static fw_span take(fw_span *s, uint64_t n)
{
    if (n > (uint64_t)(s->end - s->at)) {
        s->bad = true;
        return (fw_span){0};
    }
    s->at += n;
    return (fw_span){s->at - n, s->at, false};
}

bool fw_pb_next(fw_span *s, fw_field *f)
{
    enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
    if (s->bad || s->at >= s->end) return false;
    const uint64_t key = fw_pb_varint(s), wire = key & 7;
    *f = (fw_field){.id = key >> 3};
    if (wire == VARINT) {
        f->number = fw_pb_varint(s);
    } else if (wire == BYTES) {
        const uint64_t n = fw_pb_varint(s);
        if (!s->bad) f->body = take(s, n);
    } else if (wire == FIXED64 || wire == FIXED32) {
        const fw_span fixed = take(s, wire == FIXED64 ? 8 : 4);
        if (!s->bad) memcpy(&f->number, fixed.at, (size_t)(fixed.end - fixed.at));
    } else {
        s->bad = true;
    }
    return !s->bad;
}
