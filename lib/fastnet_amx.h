/* fastnet_amx: convolutions of bf16 where the CPU has AMX (lib/amx.h). */
#ifndef FW_FASTNET_AMX_H
#define FW_FASTNET_AMX_H

#include "fastnet_kernels.h"

/* As fw_dense_run; false, and nothing done: another CPU, fp32, fewer than 16 rows, or words that no tile divides. */
bool fw_dense_run_amx(const fw_dense *d);

#endif
