/* signature: what one photo contributes to the search for duplicates (lib/signature.h). */
#include "../lib/signature.h"
#include "stage.h"

#include <string.h>

enum { IN_STATUS, IN_LANDMARK, IN_TARGET };

static const char *const inputs[] = {"detect.status", "detect.landmark", "detect.target", NULL};
static const fw_output outputs[] = {
    {"signature.bytes", FW_U8, FW_SIGNATURE_BYTES, FW_ONE, "struct fw_signature; all zero without a readable photo"},
    {0}};

static int image_signature(fw_task *t, fw_item *it, fw_err *e)
{
    FW_UNUSED(e);
    const fw_image *im = fw_item_image(it, NULL, NULL);
    const int32_t *target = fw_in(t, it, IN_TARGET, NULL);
    size_t faces;
    const float *landmark = fw_in(t, it, IN_LANDMARK, &faces);
    if (!im) return FW_OK;
    /* computed in an aligned struct: item buffers promise no alignment for 64-bit fields */
    fw_signature sig;
    bool face = *target >= 0 && (size_t)*target < faces;
    fw_signature_compute(im, face ? landmark + 10 * *target : NULL, (uint8_t *)&sig);
    memcpy(fw_out(t, it, 0, 1), &sig, sizeof sig);
    return FW_OK;
}

const fw_stage fw_stage_signature = {
    .name = "signature",
    .summary = "reduce every photo to what the search for duplicates compares",
    .version = 1,
    .scope = FW_SCOPE_SHARD,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"image.", NULL},
    .image = image_signature,
};
