#include "webp.h"

#include "exif.h"
#include <webp/decode.h>
#include <webp/demux.h>

static const char *vp8_text(VP8StatusCode c)
{
    switch (c) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        return "file ends early";
    case VP8_STATUS_BITSTREAM_ERROR:
        return "damaged data";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return "a feature that libwebp does not read";
    default:
        return "cannot be decoded";
    }
}

static enum fw_img_status read_features(fw_decode *d, WebPBitstreamFeatures *f)
{
    VP8StatusCode c = WebPGetFeatures(d->bytes, d->n, f);
    if (c != VP8_STATUS_OK) return fw_decode_fail(d, FW_IMG_UNREADABLE, "webp: %s", vp8_text(c));
    if (f->has_animation) return fw_decode_fail(d, FW_IMG_UNSUPPORTED, "webp: an animation");
    return FW_IMG_OK;
}

/* Only files with the extended header can carry EXIF; the plain ones skip the demuxer. */
static int find_orientation(const fw_decode *d)
{
    if (d->n < 16 || d->bytes[15] != 'X') return 1;
    int orientation = 1;
    WebPData data = {d->bytes, d->n};
    WebPDemuxer *demux = WebPDemux(&data);
    WebPChunkIterator it;
    if (demux && WebPDemuxGetChunk(demux, "EXIF", 1, &it)) {
        orientation = fw_exif_orientation(it.chunk.bytes, it.chunk.size);
        WebPDemuxReleaseChunkIterator(&it);
    }
    WebPDemuxDelete(demux);
    return orientation;
}

static VP8StatusCode decode_into(fw_decode *d, WebPDecoderConfig *config, uint8_t *to, int channels)
{
    const size_t w = (size_t)config->input.width, h = (size_t)config->input.height;
    config->output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
    config->output.is_external_memory = 1;
    config->output.u.RGBA.rgba = to;
    config->output.u.RGBA.stride = (int)(w * (size_t)channels);
    config->output.u.RGBA.size = w * h * (size_t)channels;
    VP8StatusCode c = WebPDecode(d->bytes, d->n, config);
    WebPFreeDecBuffer(&config->output);
    return c;
}

enum fw_img_status fw_webp_decode(fw_decode *d)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) return fw_decode_fail(d, FW_IMG_UNREADABLE, "webp: libwebp does not start");
    enum fw_img_status s = read_features(d, &config.input);
    if (s != FW_IMG_OK) return s;
    const int w = config.input.width, h = config.input.height;
    s = fw_decode_check_size(d, (uint64_t)w, (uint64_t)h);
    if (s != FW_IMG_OK) return s;
    const size_t pixels = (size_t)w * (size_t)h;
    const bool alpha = config.input.has_alpha != 0;
    fw_decode_reserve(d, w, h);
    VP8StatusCode c =
        alpha ? decode_into(d, &config, fw_decode_spare(d, 4 * pixels), 4) : decode_into(d, &config, d->out->rgb, 3);
    if (c != VP8_STATUS_OK) return fw_decode_fail(d, FW_IMG_UNREADABLE, "webp: %s", vp8_text(c));
    if (alpha) fw_decode_on_white(d->out->spare, d->out->rgb, pixels);
    d->out->full_width = w;
    d->out->full_height = h;
    d->orientation = find_orientation(d);
    return FW_IMG_OK;
}

enum fw_img_status fw_webp_probe(const uint8_t *bytes, size_t n, int *width, int *height)
{
    char why[FW_IMG_WHY];
    fw_decode d = {.bytes = bytes, .n = n, .why = why};
    WebPBitstreamFeatures f;
    enum fw_img_status s = read_features(&d, &f);
    if (s == FW_IMG_OK) {
        *width = f.width;
        *height = f.height;
    }
    return s;
}
