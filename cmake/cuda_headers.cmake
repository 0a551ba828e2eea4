# Headers of CUTLASS and FlashInfer: targets braid_cutlass and braid_flashinfer. They are taken out
# of the pinned wheel of cuda-headers.txt, once, into build/third_party, which all presets share.

set(BRAID_CUDA_HEADERS "" CACHE PATH
  "unpacked wheel of cmake/cuda-headers.txt (a folder that holds flashinfer/data); empty: fetched")

# Sets OUT to the `name==version` of cuda-headers.txt.
function(braid_cuda_headers_pin OUT)
  set(list ${CMAKE_SOURCE_DIR}/cmake/cuda-headers.txt)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${list})
  file(STRINGS ${list} pins REGEX "^[^#].*==")
  string(REGEX MATCH "^[^ ]+" pin "${pins}")
  set(${OUT} ${pin} PARENT_SCOPE)
endfunction()

# Ends configuring where CUDA was asked for; else goes on without it, not in silence.
function(braid_cuda_headers_failed PIN WHAT)
  set(kind WARNING)
  if(BRAID_CUDA STREQUAL "ON")
    set(kind FATAL_ERROR)
  endif()
  set_property(GLOBAL PROPERTY BRAID_NO_CUDA_HEADERS ON)
  message(${kind} "The CUDA kernels need headers of CUTLASS and FlashInfer, which are in the "
    "Python package ${PIN}: ${WHAT}\n"
    "Either let pip reach a package index (python3 -m pip, Debian's python3-pip), or give "
    "-DBRAID_CUDA_HEADERS=FOLDER with FOLDER holding that package unpacked (a folder flashinfer/data "
    "in it), or build without CUDA: -DBRAID_CUDA=OFF")
endfunction()

# Downloads the wheel and takes the header folders out of it into FOLDER.
function(braid_fetch_cuda_headers PIN FOLDER)
  find_program(BRAID_PYTHON NAMES python3 python)
  if(NOT BRAID_PYTHON)
    braid_cuda_headers_failed(${PIN} "no python3 to fetch it with")
    return()
  endif()
  message(STATUS "CUDA: fetching ${PIN}")
  set(scratch ${FOLDER}.part)
  file(REMOVE_RECURSE ${scratch})
  execute_process(
    COMMAND ${BRAID_PYTHON} -m pip download --quiet --no-deps --only-binary :all: --require-hashes
      --dest ${scratch} --requirement ${CMAKE_SOURCE_DIR}/cmake/cuda-headers.txt
    RESULT_VARIABLE code ERROR_VARIABLE errors OUTPUT_VARIABLE output)
  file(GLOB wheel ${scratch}/*.whl)
  if(NOT code EQUAL 0 OR NOT wheel)
    file(REMOVE_RECURSE ${scratch})
    string(STRIP "${output}${errors}" reason)
    braid_cuda_headers_failed(${PIN} "pip could not download it.\n${reason}")
    return()
  endif()
  file(ARCHIVE_EXTRACT INPUT ${wheel} DESTINATION ${scratch}
    PATTERNS "flashinfer/data/include/*" "flashinfer/data/cutlass/include/*" "*/licenses/*")
  file(REMOVE ${wheel})
  file(RENAME ${scratch} ${FOLDER})
endfunction()

braid_cuda_headers_pin(pin)
set(headers ${BRAID_CUDA_HEADERS})
if(NOT headers)
  string(REPLACE "==" "-" folder ${pin})
  set(headers ${CMAKE_SOURCE_DIR}/build/third_party/${folder})
  file(LOCK ${CMAKE_SOURCE_DIR}/build/third_party DIRECTORY GUARD FILE TIMEOUT 300)
  if(NOT EXISTS ${headers})
    braid_fetch_cuda_headers(${pin} ${headers})
  endif()
  file(LOCK ${CMAKE_SOURCE_DIR}/build/third_party DIRECTORY RELEASE)
endif()
get_property(failed GLOBAL PROPERTY BRAID_NO_CUDA_HEADERS)
if(failed)
  return()
endif()
foreach(header include/flashinfer/page.cuh cutlass/include/cutlass/version.h)
  if(NOT EXISTS ${headers}/flashinfer/data/${header})
    braid_cuda_headers_failed(${pin} "${headers} has no flashinfer/data/${header}")
    return()
  endif()
endforeach()
message(STATUS "CUDA: headers of CUTLASS and FlashInfer in ${headers}")

# System headers, so that their warnings are not ours. Link them PRIVATE, where they are used.
add_library(braid_cutlass INTERFACE)
target_include_directories(braid_cutlass SYSTEM INTERFACE ${headers}/flashinfer/data/cutlass/include)
add_library(braid_flashinfer INTERFACE)
target_include_directories(braid_flashinfer SYSTEM INTERFACE ${headers}/flashinfer/data/include)
target_link_libraries(braid_flashinfer INTERFACE braid_cutlass)
