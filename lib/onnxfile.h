/* onnxfile: a look at an .onnx file before a library reads it. The file is a protobuf message (onnx.proto3:
 * ModelProto); only its outline is walked, with limits, so that what is wrong with it is said in words:
 *   - it is not a protobuf message with a graph at all (truncated, or another file)
 *   - weights lie in other files (TensorProto.external_data), whose paths may point anywhere and whose digest nobody
 * knows
 *   - a tensor of the file claims a size that its data do not have */
#ifndef FW_ONNXFILE_H
#define FW_ONNXFILE_H

#include "base.h"

/* FW_EFAIL with the reason. */
int fw_onnx_check(const char *file, fw_err *e) FW_MUST_USE;

#endif
