#include "sprite.h"
#include "image.h"
#include "jpeg.h"

#include <string.h>

void fw_sheet_init(fw_sheet *s, int columns, int rows, int cell)
{
    size_t bytes = (size_t)columns * (size_t)rows * (size_t)cell * (size_t)cell * 3;
    *s = (fw_sheet){.columns = columns, .rows = rows, .cell = cell, .rgb = fw_alloc(bytes, 1)};
    memset(s->rgb, 0x80, bytes);
}

void fw_sheet_free(fw_sheet *s)
{
    fw_free(s->rgb);
    s->rgb = NULL;
}

bool fw_sheet_put(fw_sheet *s, int k, const void *bytes, size_t n)
{
    char why[FW_IMG_WHY];
    fw_image im = {0};
    fw_image_limits lim = FW_IMAGE_LIMITS_DEFAULT;
    lim.decode_side = s->cell;
    bool ok = fw_image_decode(bytes, n, &lim, &im, why) == FW_IMG_OK;
    if (ok) {
        int side = im.width > im.height ? im.width : im.height;
        int w = im.width * s->cell / side, h = im.height * s->cell / side;
        w = w ? w : 1;
        h = h ? h : 1;
        uint8_t *small = fw_alloc((size_t)w * (size_t)h, 3);
        if (w == im.width && h == im.height)
            memcpy(small, im.rgb, (size_t)w * (size_t)h * 3);
        else
            fw_image_resize(im.rgb, im.width, im.height, small, w, h);
        int x = k % s->columns * s->cell + (s->cell - w) / 2, y = k / s->columns * s->cell + (s->cell - h) / 2;
        for (int i = 0; i < h; i++)
            memcpy(s->rgb + ((size_t)(y + i) * (size_t)(s->columns * s->cell) + (size_t)x) * 3,
                   small + (size_t)i * (size_t)w * 3, (size_t)w * 3);
        fw_free(small);
    }
    fw_image_free(&im);
    return ok;
}

int fw_sheet_encode(const fw_sheet *s, int cells, int quality, fw_buf *out, fw_err *e)
{
    int rows = (cells + s->columns - 1) / s->columns;
    return fw_jpeg_encode(s->rgb, s->columns * s->cell, (rows ? rows : 1) * s->cell, quality, out, e);
}
