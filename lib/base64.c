#include "base64.h"

#include <string.h>

/* Six bits of each character; the result has its highest bit set where one is no base64. Without branches, so that the
 * compiler does many at once: TSV files of faces are hundreds of gigabytes of this. */
static uint8_t values_of(const char *text, size_t n, uint8_t *out)
{
    uint8_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t c = (uint8_t)text[i];
        const uint8_t upper = (uint8_t)(c - 'A'), lower = (uint8_t)(c - 'a'), digit = (uint8_t)(c - '0');
        uint8_t v = c == '+' ? 62 : c == '/' ? 63 : 128;
        v = upper < 26 ? upper : v;
        v = lower < 26 ? (uint8_t)(lower + 26) : v;
        v = digit < 10 ? (uint8_t)(digit + 52) : v;
        out[i] = v;
        bad |= v;
    }
    return bad & 128;
}

static void put24(char *to, const uint8_t *v)
{
    const uint32_t four = (uint32_t)v[0] << 18 | (uint32_t)v[1] << 12 | (uint32_t)v[2] << 6 | v[3];
    to[0] = (char)(four >> 16);
    to[1] = (char)(four >> 8);
    to[2] = (char)four;
}

/* Eight values become six bytes: neighbours are joined to 12, then 24, then 48 bits. */
static void put48(char *to, const uint8_t *v)
{
    uint64_t x;
    memcpy(&x, v, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    x = (x >> 2 & 0x0fc00fc00fc00fc0) | (x & 0x003f003f003f003f);
    x = (x >> 4 & 0x00fff00000fff000) | (x & 0x00000fff00000fff);
    x = (x >> 8 & 0x0000ffffff000000) | (x & 0x0000000000ffffff);
    x <<= 16;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    memcpy(to, &x, 6);
}

size_t fw_base64_room(size_t n)
{
    return n / 4 * 3 + 3;
}

bool fw_base64_decode(const char *text, size_t n, char *to, size_t *bytes)
{
    enum { PIECE = 1024 }; /* a multiple of 8 */
    uint8_t v[PIECE];
    while (n && text[n - 1] == '=' && n % 4 != 1) n--; /* "=" or "==" that fills four; more is no base64 */
    if (n % 4 == 1) return false;
    size_t len = 0;
    for (size_t i = 0; i < n; i += PIECE) { /* `to` may be the front of `text`: what is written was read before */
        const size_t k = n - i < PIECE ? n - i : PIECE;
        if (values_of(text + i, k, v)) return false;
        size_t at = 0;
        for (; at + 8 <= k; at += 8, len += 6) put48(to + len, v + at);
        for (; at + 4 <= k; at += 4, len += 3) put24(to + len, v + at);
        if (at == k) continue;
        uint8_t last[4] = {v[at], v[at + 1], at + 2 < k ? v[at + 2] : 0, 0};
        char three[3];
        put24(three, last);
        memcpy(to + len, three, k - at - 1);
        len += k - at - 1;
    }
    *bytes = len;
    return true;
}

void fw_base64_encode(fw_buf *out, const void *bytes, size_t n)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;
    char piece[4096];
    size_t at = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t three = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        piece[at++] = alphabet[three >> 18];
        piece[at++] = alphabet[three >> 12 & 63];
        piece[at++] = i + 1 < n ? alphabet[three >> 6 & 63] : '=';
        piece[at++] = i + 2 < n ? alphabet[three & 63] : '=';
        if (at == sizeof piece) fw_buf_add(out, piece, at), at = 0;
    }
    fw_buf_add(out, piece, at);
}
