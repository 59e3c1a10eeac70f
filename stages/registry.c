/* registry: the stages in order. A stage may read what stands above it. Sources of images (ingest) come before all. */
#include "stage.h"

extern const fw_stage fw_stage_detect, fw_stage_align, fw_stage_quality, fw_stage_embed, fw_stage_signature, fw_stage_index,
    fw_stage_knn;

const fw_stage *const fw_stages[] = {
    &fw_stage_detect, &fw_stage_align, &fw_stage_quality, &fw_stage_embed, &fw_stage_signature, /* per shard, fused */
    &fw_stage_index,  &fw_stage_knn,                                                           /* whole dataset */
    NULL};
