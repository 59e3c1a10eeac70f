/* libFuzzer target for what looks at a model file before a library does: lib/onnxfile.h (the check), lib/onnxgraph.h
 * (nodes and constants for lib/fastnet.h), both over lib/protobuf.h. Any bytes are refused with a message or give a
 * network whose parts are whole. `make fuzz`. */
#include "lib/onnxfile.h"
#include "lib/onnxgraph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x)) abort();                                                                                             \
    } while (0)

static void check_network(const fw_onnx *g)
{
    float sum = 0;
    for (size_t i = 0; i < g->nodes; i++) {
        const fw_onnx_node *node = &g->node[i];
        CHECK(node->ins >= 0 && node->ins <= FW_ONNX_IO);
        for (int k = 0; k < node->ins; k++) CHECK(node->in[k]);
    }
    for (size_t i = 0; i < g->constants; i++) {
        const fw_onnx_const *c = &g->constant[i];
        CHECK(!c->name || fw_onnx_find(g, c->name));
        for (size_t k = 0; c->value && k < c->count; k++) sum += c->value[k]; /* all of them are there */
    }
    volatile float sink = sum;
    FW_UNUSED(sink);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char path[64];
    fw_err e = {0};
    fw_onnx *g = NULL;
    snprintf(path, sizeof path, "/dev/shm/fuzz-onnx.%ld", (long)getpid());
    FILE *f = fopen(path, "w");
    CHECK(f && fwrite(data, 1, n, f) == n && !fclose(f));
    int rc = fw_onnx_check(path, &e);
    CHECK((rc == FW_OK) == (e.msg[0] == 0));
    e = (fw_err){0};
    rc = fw_onnx_read(path, &g, &e);
    CHECK((rc == FW_OK) == (e.msg[0] == 0) && (rc == FW_OK) == (g != NULL));
    if (g) check_network(g);
    fw_onnx_free(g);
    unlink(path);
    return 0;
}
