# CUDA: AUTO builds for it where nvcc is found. Folders named cuda or nccl hold what needs it.

set(BRAID_CUDA "AUTO" CACHE STRING "build the CUDA code: AUTO, ON or OFF")
set_property(CACHE BRAID_CUDA PROPERTY STRINGS AUTO ON OFF)

set(BRAID_WITH_CUDA OFF)
if(NOT BRAID_CUDA STREQUAL "OFF")
  find_program(BRAID_NVCC nvcc HINTS /usr/local/cuda/bin $ENV{CUDA_HOME}/bin)
  if(BRAID_NVCC)
    set(BRAID_WITH_CUDA ON)
  elseif(BRAID_CUDA STREQUAL "ON")
    message(FATAL_ERROR "BRAID_CUDA=ON, but nvcc was not found: put it on PATH or set CUDA_HOME")
  endif()
endif()

if(NOT BRAID_WITH_CUDA)
  message(STATUS "CUDA: left out (BRAID_CUDA=${BRAID_CUDA})")
  return()
endif()

set(CMAKE_CUDA_COMPILER ${BRAID_NVCC})
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_ARCHITECTURES 90a)
set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG")
enable_language(CUDA)
if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 knows nvcc up to C++17
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
find_package(CUDAToolkit 12.8 REQUIRED)
find_path(NCCL_INCLUDE nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS} REQUIRED)
find_library(NCCL_LIBRARY NAMES nccl HINTS ${CUDAToolkit_LIBRARY_DIR} REQUIRED)
message(STATUS "CUDA: ${CUDAToolkit_VERSION}, NCCL: ${NCCL_LIBRARY}")

# The driver's library is not linked: a binary built here must also start where there is no GPU.
add_library(braid_cuda INTERFACE)
target_include_directories(braid_cuda SYSTEM INTERFACE ${CUDAToolkit_INCLUDE_DIRS} ${NCCL_INCLUDE})
target_link_libraries(braid_cuda INTERFACE CUDA::cudart_static CUDA::cublasLt ${NCCL_LIBRARY})
target_compile_definitions(braid_cuda INTERFACE BRAID_WITH_CUDA=1)

include(cuda_headers)
