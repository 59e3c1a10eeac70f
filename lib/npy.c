#include "npy.h"

#include <stdio.h>
#include <string.h>

static const char *const codes[] = {"|u1", "|i1", "<u2", "<f2", "<i4", "<u4", "<f4", "<i8", "<u8", "<f8"};

void fw_npy_header(fw_outfile *o, fw_dtype type, size_t rows, size_t width)
{
    char shape[64], dict[128];
    if (width)
        snprintf(shape, sizeof shape, "(%zu, %zu)", rows, width);
    else
        snprintf(shape, sizeof shape, "(%zu,)", rows);
    int n = snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", codes[type], shape);
    /* magic, version, length and dictionary together fill a multiple of 64 bytes and end with a newline */
    size_t total = (10 + (size_t)n + 1 + 63) / 64 * 64, pad = total - 10 - (size_t)n - 1;
    unsigned char head[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(total - 10), (unsigned char)((total - 10) >> 8)};
    fw_out_write(o, head, sizeof head);
    fw_out_write(o, dict, (size_t)n);
    while (pad--) fw_out_write(o, " ", 1);
    fw_out_write(o, "\n", 1);
}
