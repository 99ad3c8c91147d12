// Which DataType a tensor's type id means, also where two formats share an id, and the tilings of TL1 and TL2.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/cursor.h"
#include "models/gguf_reader.h"

namespace bitnet {

// Reads an id; of two types that share it the first in the table. Fails naming the tensor for ids of other formats.
DataType read_data_type(Cursor& in, std::string_view tensor);

// Bytes of a tensor; fails naming it when its shape is not one of its type.
std::uint64_t tensor_bytes(const Cursor& in, const GgufTensor& tensor);

// Tells Q2_0 with blocks of 64 from that with blocks of 128, and TL2 from MXFP4, by the room from each such tensor's offset,
// still counted in the data section, to the next. Where the room allows both: as the file's other tensors of the id, else Q2_0
// has blocks of 64, as the id is defined. Fails naming the tensor when id 39 is MXFP4 or could be either. `in` is behind the
// table.
void settle_shared_types(const Cursor& in, std::uint64_t alignment, std::vector<GgufTensor>& tensors);

// Gives TL1 and TL2 tensors the tilings that kernel_config.ini in the folder of `path` has for their shapes; without the file
// or the section they stay unknown. Throws Error{bad_model, io} for a broken configuration, which is not read without such
// tensors.
void find_tilings(const std::string& path, std::vector<GgufTensor>& tensors);

}  // namespace bitnet
