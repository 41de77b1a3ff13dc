# Build type, ccache and warnings, the same for every target.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM} CACHE STRING "")
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM} CACHE STRING "")
endif()

function(engine_compile_options target)
  # Aggregates are initialised by their first members on purpose.
  set(cxx_flags -Wall -Wextra -Wshadow -Wno-missing-field-initializers)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # GCC 12 takes "text" + std::string for overlapping memory: gcc.gnu.org/bugzilla/105651.
    list(APPEND cxx_flags -Wno-restrict)
    # And its own AVX-512 functions, which Eigen calls, for uses of values not set:
    # gcc.gnu.org/bugzilla/105593.
    list(APPEND cxx_flags -Wno-maybe-uninitialized)
    if(ENGINE_SANITIZE)
      list(APPEND cxx_flags -Wno-uninitialized)
    endif()
  endif()
  if(ENGINE_WERROR)
    list(APPEND cxx_flags -Werror)
  endif()
  if(ENGINE_MARCH)
    list(APPEND cxx_flags -march=${ENGINE_MARCH})
  endif()
  if(ENGINE_SANITIZE)
    list(APPEND cxx_flags -fsanitize=${ENGINE_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${ENGINE_SANITIZE})
  endif()
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${cxx_flags}>")
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
endfunction()
