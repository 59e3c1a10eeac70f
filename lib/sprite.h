/* sprite: many thumbnails in one JPEG, a sheet, so that a page loads 64 faces with one request.
 *
 * A sheet is `columns` cells wide; cell k lies at column k % columns, row k / columns. Cells are squares of `cell`
 * pixels; with cell a multiple of 16 no JPEG block covers two faces, so neighbours do not bleed into each other (but
 * for the colour of the outermost pixel, which decoders smooth).
 */
#ifndef FW_SPRITE_H
#define FW_SPRITE_H

#include "base.h"

typedef struct fw_sheet {
    int columns, rows, cell;
    uint8_t *rgb; /* columns * cell x rows * cell, packed */
} fw_sheet;

/* All cells grey. Free with fw_sheet_free. */
void fw_sheet_init(fw_sheet *s, int columns, int rows, int cell);
void fw_sheet_free(fw_sheet *s);
/* Decode an encoded picture (any format of lib/image.h) into cell k, scaled to fit, centred. A picture that does not
 * decode leaves the cell as it is and returns false. */
bool fw_sheet_put(fw_sheet *s, int k, const void *bytes, size_t n);
/* The sheet as JPEG, appended to `out`; only the rows that the first `cells` cells need. */
int fw_sheet_encode(const fw_sheet *s, int cells, int quality, fw_buf *out, fw_err *e) FW_MUST_USE;

#endif
