/* half: IEEE half floats, as embeddings are stored and as fp16 networks take and give them. */
#ifndef FW_HALF_H
#define FW_HALF_H

#include "base.h"

/* fp32 <-> fp16, round to nearest even; uses F16C where the processor has it; NEON to widen. */
void fw_half_to_float(const uint16_t *in, float *out, size_t n);
void fw_float_to_half(const float *in, uint16_t *out, size_t n);

#endif
