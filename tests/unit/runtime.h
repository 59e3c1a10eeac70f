/* runtime: what tests of networks share: a file for the network that is made on the way, and ONNX Runtime. */
#ifndef FW_TEST_RUNTIME_H
#define FW_TEST_RUNTIME_H

#include "../../lib/model.h"
#include "tiny_onnx.h"

#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/fw-network-XXXXXX";
static fw_runtime *rt;

static int start(void **state)
{
    FW_UNUSED(state);
    int fd = mkstemp(path);
    return fd < 0 || close(fd) || fw_runtime_open(&rt, NULL);
}

static int stop(void **state)
{
    FW_UNUSED(state);
    fw_runtime_close(rt);
    return unlink(path);
}

#endif
