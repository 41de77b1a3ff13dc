# Decides whether the CUDA kernels are built, and adds them to a target.
set(ENGINE_WITH_CUDA OFF)
if(NOT ENGINE_CUDA STREQUAL "OFF")
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    # Ampere and Hopper machine code, and PTX that later chips compile at start.
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 90-virtual)
  endif()
  find_package(CUDAToolkit 12 QUIET)
  include(CheckLanguage)
  if(CUDAToolkit_FOUND AND NOT DEFINED CMAKE_CUDA_COMPILER AND CUDAToolkit_NVCC_EXECUTABLE)
    set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})
  endif()
  check_language(CUDA)
  if(CUDAToolkit_FOUND AND CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    set(ENGINE_WITH_CUDA ON)
  elseif(ENGINE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "ENGINE_CUDA=ON, but no CUDA toolkit >= 12 was found; set "
                        "CUDAToolkit_ROOT, or use ENGINE_CUDA=OFF for a CPU build")
  endif()
endif()
message(STATUS "conv1d_engine: CUDA kernels ${ENGINE_WITH_CUDA}")

# .cu files and everything in a folder named cuda/ are for builds with CUDA only.
function(engine_use_cuda target)
  get_target_property(sources ${target} SOURCES)
  if(NOT ENGINE_WITH_CUDA)
    list(FILTER sources EXCLUDE REGEX "/cuda/")
    set_target_properties(${target} PROPERTIES SOURCES "${sources}")
    return()
  endif()
  list(FILTER sources EXCLUDE REGEX "/cuda_unavailable\\.cpp$")
  file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/engine/*.cu
       ${CMAKE_CURRENT_SOURCE_DIR}/layers/*.cu)
  set_target_properties(${target} PROPERTIES SOURCES "${sources};${cuda_sources}" CUDA_RUNTIME_LIBRARY Static)
  target_compile_definitions(${target} PRIVATE ENGINE_WITH_CUDA=1)
  if("${CMAKE_CUDA_ARCHITECTURES}" MATCHES "90a")
    target_compile_definitions(${target} PRIVATE ENGINE_WITH_SM90A=1)
  endif()
  # The dialect as a plain flag: CMake before 3.26 does not know C++20 for nvcc.
  target_compile_options(
    ${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;--expt-relaxed-constexpr;-Xcompiler=-Wall>")
  # cuBLAS is loaded when it is first used.
  set_source_files_properties(engine/cuda/blas_library.cpp PROPERTIES COMPILE_DEFINITIONS
                              "ENGINE_CUDA_LIBRARIES=\"${CUDAToolkit_LIBRARY_DIR}\"")
  target_link_libraries(${target} PRIVATE CUDA::cudart_static ${CMAKE_DL_LIBS})
endfunction()
