#include "text.h"

#include <stdio.h>
#include <string.h>

int fw_utf8_length(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    if (!n) return 0;
    if (u[0] < 0x80) return 1;
    size_t len = u[0] >= 0xF0 ? 4 : u[0] >= 0xE0 ? 3 : u[0] >= 0xC2 ? 2 : 0;
    if (!len || len > n || u[0] > 0xF4) return 0;
    for (size_t i = 1; i < len; i++)
        if ((u[i] & 0xC0) != 0x80) return 0;
    if ((u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xED && u[1] > 0x9F)) return 0;
    if ((u[0] == 0xF0 && u[1] < 0x90) || (u[0] == 0xF4 && u[1] > 0x8F)) return 0;
    return (int)len;
}

bool fw_utf8_valid(const char *s, size_t n)
{
    while (n) {
        int len = fw_utf8_length(s, n);
        if (!len) return false;
        s += len;
        n -= (size_t)len;
    }
    return true;
}

static void escape(fw_buf *out, const char *s, size_t n, bool control_too)
{
    while (n) {
        int len = fw_utf8_length(s, n);
        bool control = (unsigned char)*s < 0x20 || *s == 0x7F;
        if (*s == '\\')
            fw_buf_puts(out, "\\\\");
        else if (!len || (control && control_too))
            fw_buf_printf(out, "\\x%02X", (unsigned char)*s);
        else
            fw_buf_add(out, s, (size_t)len);
        s += len ? len : 1;
        n -= len ? (size_t)len : 1;
    }
}

void fw_text_utf8(fw_buf *out, const char *s, size_t n)
{
    if (fw_utf8_valid(s, n))
        fw_buf_add(out, s, n);
    else
        escape(out, s, n, false);
}

void fw_text_list(fw_buf *out, const char *s, size_t n)
{
    escape(out, s, n, true);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789ABCDEF", *at = c ? strchr(digits, c >= 'a' ? c - 32 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

void fw_text_unlist(char *s)
{
    char *to = s;
    for (; *s; to++) {
        int hi = s[0] == '\\' && s[1] == 'x' ? hex_digit(s[2]) : -1, lo = hi < 0 ? -1 : hex_digit(s[3]);
        if (lo >= 0 && (hi || lo))
            *to = (char)(hi << 4 | lo), s += 4;
        else if (s[0] == '\\' && s[1] == '\\')
            *to = '\\', s += 2;
        else
            *to = *s++;
    }
    *to = 0;
}

void fw_text_csv(fw_buf *out, const char *s, size_t n)
{
    fw_buf field = {0};
    fw_buf_puts(&field, "");
    fw_text_utf8(&field, s, n);
    bool quote =
        strpbrk(field.data, "\",\r\n") || (field.len && (field.data[0] == ' ' || field.data[field.len - 1] == ' '));
    if (!quote)
        fw_buf_add(out, field.data, field.len);
    else {
        fw_buf_puts(out, "\"");
        for (size_t i = 0; i < field.len; i++) {
            if (field.data[i] == '"') fw_buf_puts(out, "\"");
            fw_buf_add(out, field.data + i, 1);
        }
        fw_buf_puts(out, "\"");
    }
    fw_buf_free(&field);
}
