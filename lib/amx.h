/* amx: tiles, the matrix unit of Intel's server CPUs from Sapphire Rapids on (Intel 64 and IA-32 Architectures Software
 * Developer's Manual, volume 1, chapter 18).
 *
 * Eight tiles of up to 16 rows of 64 bytes; one instruction adds the product of a tile of rows and a tile of columns to
 * a tile of sums. A Xeon of 2.6 GHz, GMAC/s of a core: int8 3300 (vpdpbusd 360), bf16 1670 (vdpbf16ps 62). Who uses
 * them loads fw_tiles_full first and releases the tiles in the end: what a thread does not hold, Linux need not save.
 *
 * gcc's _tile_loadconfig and _tile_loadd look at memory that the compiler does not know of: the shape must be a constant,
 * and what is multiplied is written in other files, without link-time optimisation.
 */
#ifndef FW_AMX_H
#define FW_AMX_H

#include <stdbool.h>
#include <stdint.h>

typedef struct fw_tiles {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} fw_tiles;

extern const fw_tiles fw_tiles_full; /* every tile 16 rows of 64 bytes */

/* Does the CPU have tiles of int8 and bf16, and AVX-512, and does Linux, which saves them at a change of threads, give
 * them to this process? Asks once. Any thread. */
bool fw_amx_usable(void);

#endif
