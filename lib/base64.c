#include "base64.h"

static int value_of(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t fw_base64_room(size_t n)
{
    return n / 4 * 3 + 3;
}

bool fw_base64_decode(const char *text, size_t n, char *to, size_t *bytes)
{
    while (n && text[n - 1] == '=' && n % 4 != 1) n--; /* "=" or "==" that fills four; more is no base64 */
    size_t len = 0;
    uint32_t four = 0;
    for (size_t i = 0; i < n; i++) {
        int v = value_of((unsigned char)text[i]);
        if (v < 0) return false;
        four = four << 6 | (uint32_t)v;
        if (i % 4 != 3) continue;
        to[len++] = (char)(four >> 16);
        to[len++] = (char)(four >> 8);
        to[len++] = (char)four;
    }
    if (n % 4 == 1) return false;
    if (n % 4 == 2) to[len++] = (char)(four >> 4);
    if (n % 4 == 3) to[len++] = (char)(four >> 10), to[len++] = (char)(four >> 2);
    *bytes = len;
    return true;
}

void fw_base64_encode(fw_buf *out, const void *bytes, size_t n)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t three = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        char four[4] = {alphabet[three >> 18], alphabet[three >> 12 & 63], i + 1 < n ? alphabet[three >> 6 & 63] : '=',
                        i + 2 < n ? alphabet[three & 63] : '='};
        fw_buf_add(out, four, 4);
    }
}
