/* paths: where the program's own files lie: model descriptions, network files, report templates.
 *
 * Looked for in this order: the environment (FACEWASH_SHARE, FACEWASH_MODELS), beside the program in a build tree
 * (build/facewash -> configs/, reports/), beside an installed program (PREFIX/bin -> PREFIX/share/facewash), and last
 * the folders that were current when it was built.
 */
#ifndef FW_PATHS_H
#define FW_PATHS_H

#include "base.h"

/* The folder that holds configs/ and reports/; the caller frees. FW_EFAIL when there is none. */
char *fw_share_dir(fw_err *e);
/* The folder of prepared network files; the caller frees. It need not exist. */
char *fw_models_dir(void);
/* Description of a model by name or path: "mobilefacenet" -> ".../configs/models/mobilefacenet.ini"; the caller frees.
 */
char *fw_model_ini(const char *name, fw_err *e);

#endif
