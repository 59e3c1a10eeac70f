/* registry: the stages in order. A stage may read what stands above it. Sources of images (ingest) come before all. */
#include "stage.h"

extern const fw_stage fw_stage_detect, fw_stage_align, fw_stage_quality, fw_stage_embed, fw_stage_signature,
    fw_stage_index, fw_stage_knn, fw_stage_audit, fw_stage_dedupe, fw_stage_overlap, fw_stage_cluster, fw_stage_confirm,
    fw_stage_decide;

const fw_stage *const fw_stages[] = {
    /* per shard, in one pass over the photos */
    &fw_stage_detect, &fw_stage_align, &fw_stage_embed, &fw_stage_quality, &fw_stage_signature,
    /* the whole dataset */
    &fw_stage_index, &fw_stage_knn, &fw_stage_audit, &fw_stage_dedupe, &fw_stage_overlap, &fw_stage_cluster,
    &fw_stage_confirm, &fw_stage_decide, NULL};
