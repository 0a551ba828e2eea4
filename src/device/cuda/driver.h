// Functions of the GPU's driver, found at run time: braid does not link the driver's library, so
// that it also starts where there is none.
#pragma once

#include "base/status.h"

namespace braid::device {

// The driver's function of this name; `unsupported` when there is none.
Result<void*> find_driver_function(const char* name);

}  // namespace braid::device
