// What hosts compare so that all of them run the same model.
#pragma once

#include <string>

namespace braid::model {

// 16 hexadecimal digits of a SHA-256 of a file's bytes; "none" where it can't be read.
std::string fingerprint_of_file(const std::string& path);

// The same of the headers of all weight files in a model's folder: names, formats, shapes and
// places of all tensors, but not their values. Files that can't be read count as such: opening them
// says what is wrong.
std::string fingerprint_of_headers(const std::string& folder);

}  // namespace braid::model
