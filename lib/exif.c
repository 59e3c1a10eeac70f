#include "exif.h"

#include <libexif/exif-data.h>
#include <string.h>

#define EXIF_MAX 65535 /* an APP1 segment cannot be longer; other containers have no reason to */

static int read_orientation(ExifData *data)
{
    ExifEntry *entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
    if (!entry || entry->format != EXIF_FORMAT_SHORT || entry->size < 2) return 1;
    int v = exif_get_short(entry->data, exif_data_get_byte_order(data));
    return v >= 1 && v <= 8 ? v : 1;
}

int fw_exif_orientation(const uint8_t *block, size_t n)
{
    static const char mark[6] = "Exif\0";
    if (n < 14 || n > EXIF_MAX) return 1;
    ExifData *data = exif_data_new();
    if (!data) return 1;
    /* Take the file as it is: no repair pass over tags that nobody reads. */
    exif_data_unset_option(data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
    if (memcmp(block, mark, sizeof mark) == 0) {
        exif_data_load_data(data, block, (unsigned)n);
    } else {
        /* libexif wants the JPEG prefix in front of the TIFF structure */
        uint8_t *full = fw_alloc(n + sizeof mark, 1);
        memcpy(full, mark, sizeof mark);
        memcpy(full + sizeof mark, block, n);
        exif_data_load_data(data, full, (unsigned)(n + sizeof mark));
        fw_free(full);
    }
    int orientation = read_orientation(data);
    exif_data_unref(data);
    return orientation;
}
