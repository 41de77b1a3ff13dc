# Installs the engine into a temporary folder, builds apps/embed against it outside the source
# tree, and runs it.
# usage: cmake -DSOURCE_DIR=... -DBUILD_DIR=... [-DCXX_FLAGS=...] -P install_test.cmake
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGV} failed (${result}):\n${output}")
  endif()
  set(run_output "${output}" PARENT_SCOPE)
endfunction()

function(expect text)
  if(NOT run_output MATCHES "${text}")
    message(FATAL_ERROR "expected '${text}' in:\n${run_output}")
  endif()
endfunction()

execute_process(COMMAND mktemp -d OUTPUT_VARIABLE WORK_DIR OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/prefix)
file(COPY ${SOURCE_DIR}/apps/embed DESTINATION ${WORK_DIR})

# The package must name nothing of the tree that it was built in.
file(GLOB_RECURSE package_files ${WORK_DIR}/prefix/*.cmake)
foreach(file IN LISTS package_files)
  file(READ ${file} text)
  string(FIND "${text}" "${SOURCE_DIR}" found)
  if(NOT found EQUAL -1)
    message(FATAL_ERROR "${file} names the source tree ${SOURCE_DIR}")
  endif()
endforeach()

run(${CMAKE_COMMAND} -S ${WORK_DIR}/embed -B ${WORK_DIR}/build -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix -DCMAKE_CXX_FLAGS=${CXX_FLAGS})
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)

run(${WORK_DIR}/build/custom_layer ${WORK_DIR}/embed/custom_layer.yaml)
expect("snake\\(1\\) = 1.708073")
run(${WORK_DIR}/build/embed ${SOURCE_DIR}/graphs/keywords.yaml)
expect("yes +[01]\\.[0-9]+")
run(${WORK_DIR}/prefix/bin/engine --version)

file(REMOVE_RECURSE ${WORK_DIR})
