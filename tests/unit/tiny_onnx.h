/* tiny_onnx: write networks of a few nodes as .onnx files, so that tests can run real sessions whose right answers are
 * computed by hand. Only what the tests need of the format (field numbers from onnx.proto3): float tensors, attributes
 * of integers and texts. */
#ifndef FW_TINY_ONNX_H
#define FW_TINY_ONNX_H

#include "lib/sha256.h"

#include <stdio.h>
#include <string.h>

typedef struct tiny_onnx {
    fw_buf graph;
} tiny_onnx;

static inline void pb_varint(fw_buf *b, uint64_t v)
{
    unsigned char byte;
    do {
        byte = (unsigned char)((v & 127) | (v > 127 ? 128 : 0));
        fw_buf_add(b, &byte, 1);
    } while (v >>= 7);
}

static inline void pb_int(fw_buf *b, int field, int64_t v)
{
    pb_varint(b, (uint64_t)field << 3);
    pb_varint(b, (uint64_t)v);
}

static inline void pb_bytes(fw_buf *b, int field, const void *p, size_t n)
{
    pb_varint(b, (uint64_t)field << 3 | 2);
    pb_varint(b, n);
    if (n) fw_buf_add(b, p, n);
}

static inline void pb_text(fw_buf *b, int field, const char *s)
{
    pb_bytes(b, field, s, strlen(s));
}

/* Put `part` into `b` as a message, and empty it. */
static inline void pb_message(fw_buf *b, int field, fw_buf *part)
{
    pb_bytes(b, field, part->data, part->len);
    fw_buf_free(part);
    *part = (fw_buf){0};
}

/* An input (field 11) or output (12): elem_type 1 float, 11 double; dims below 0 are free. */
static inline void tiny_value(tiny_onnx *o, int field, const char *name, int elem, int rank, const int64_t *dims)
{
    fw_buf shape = {0}, tensor = {0}, type = {0}, value = {0};
    for (int i = 0; i < rank; i++) {
        fw_buf dim = {0};
        if (dims[i] >= 0)
            pb_int(&dim, 1, dims[i]);
        else
            pb_text(&dim, 2, "any");
        pb_message(&shape, 1, &dim);
    }
    pb_int(&tensor, 1, elem);
    pb_message(&tensor, 2, &shape);
    pb_message(&type, 1, &tensor);
    pb_text(&value, 1, name);
    pb_message(&value, 2, &type);
    pb_message(&o->graph, field, &value);
}

static inline void tiny_weights(tiny_onnx *o, const char *name, int rank, const int64_t *dims, const float *data)
{
    fw_buf t = {0};
    size_t n = 1;
    for (int i = 0; i < rank; i++) {
        pb_int(&t, 1, dims[i]);
        n *= (size_t)dims[i];
    }
    pb_int(&t, 2, 1);
    pb_text(&t, 8, name);
    pb_bytes(&t, 9, data, n * sizeof *data);
    pb_message(&o->graph, 5, &t);
}

/* count 0: one integer, *values; else a list; text: a text instead. */
typedef struct tiny_attr {
    const char *name;
    int count;
    const int64_t *values;
    const char *text;
} tiny_attr;

/* A node with up to 3 inputs (NULL: none) and `attrs` attributes. */
static inline void tiny_node_with(tiny_onnx *o, const char *op, const char *const in[3], const char *out, int attrs,
                                  const tiny_attr *attr)
{
    enum { INT = 2, STRING = 3, INTS = 7 };
    fw_buf n = {0};
    for (int i = 0; i < 3; i++)
        if (in[i]) pb_text(&n, 1, in[i]);
    pb_text(&n, 2, out);
    pb_text(&n, 4, op);
    for (int k = 0; k < attrs; k++) {
        fw_buf a = {0};
        pb_text(&a, 1, attr[k].name);
        if (attr[k].text) pb_text(&a, 4, attr[k].text);
        for (int i = 0; i < attr[k].count; i++) pb_int(&a, 8, attr[k].values[i]);
        if (!attr[k].text && !attr[k].count) pb_int(&a, 3, *attr[k].values);
        pb_int(&a, 20, attr[k].text ? STRING : attr[k].count ? INTS : INT);
        pb_message(&n, 5, &a);
    }
    pb_message(&o->graph, 1, &n);
}

/* The same with one list attribute (NULL: none). */
static inline void tiny_node(tiny_onnx *o, const char *op, const char *const in[3], const char *out, const char *attr,
                             int count, const int64_t *values)
{
    const tiny_attr a = {.name = attr, .count = count, .values = values};
    tiny_node_with(o, op, in, out, attr ? 1 : 0, &a);
}

/* Write the file and give its SHA-256; frees the graph. False on any trouble. */
static inline bool tiny_save(tiny_onnx *o, const char *path, char sha[FW_SHA256_HEX])
{
    fw_buf model = {0}, opset = {0};
    pb_int(&opset, 2, 12);
    pb_text(&o->graph, 2, "tiny");
    pb_int(&model, 1, 7);
    pb_message(&model, 7, &o->graph);
    pb_message(&model, 8, &opset);
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(model.data, 1, model.len, f) == model.len;
    if (f && fclose(f)) ok = false;
    fw_buf_free(&model);
    return ok && fw_sha256_file(path, sha, NULL) == FW_OK;
}

static inline bool tiny_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    bool ok = f && fputs(text, f) >= 0;
    if (f && fclose(f)) ok = false;
    return ok;
}

#endif
