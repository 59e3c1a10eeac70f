#include "graph.h"

fw_graph *fw_graph_new(size_t n, uint64_t *off, uint32_t *id, float *sim)
{
    fw_graph *g = FW_NEW(fw_graph);
    *g = (fw_graph){.n = n, .off = off, .id = id, .sim = sim};
    return g;
}

void fw_graph_free(fw_graph *g)
{
    if (!g) return;
    fw_free((void *)g->off);
    fw_free((void *)g->id);
    fw_free((void *)g->sim);
    fw_free(g);
}
