#include "unionfind.h"

fw_uf fw_uf_new(size_t n)
{
    fw_uf u = {n, FW_ARRAY(uint32_t, n)};
    for (size_t i = 0; i < n; i++) u.parent[i] = (uint32_t)i;
    return u;
}

void fw_uf_free(fw_uf *u)
{
    fw_free(u->parent);
    u->parent = NULL;
    u->n = 0;
}

uint32_t fw_uf_find(fw_uf *u, uint32_t x)
{
    uint32_t *p = u->parent;
    while (p[x] != x) x = p[x] = p[p[x]];
    return x;
}

bool fw_uf_join(fw_uf *u, uint32_t a, uint32_t b)
{
    a = fw_uf_find(u, a);
    b = fw_uf_find(u, b);
    if (a == b) return false;
    if (a < b)
        u->parent[b] = a;
    else
        u->parent[a] = b;
    return true;
}
