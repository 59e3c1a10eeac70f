/* npy: NumPy's .npy format, version 1.0 (numpy.lib.format), for arrays that other tools read. Little endian, C order.
 */
#ifndef FW_NPY_H
#define FW_NPY_H

#include "column.h"
#include "file.h"

/* Header of a rows x width array (width 0: one-dimensional); the values follow with fw_out_write. */
void fw_npy_header(fw_outfile *o, fw_dtype type, size_t rows, size_t width);

#endif
