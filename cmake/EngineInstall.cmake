# `cmake --install`: public headers, the library, the program, and the package that
# find_package(conv1d_engine) finds.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/conv1d_engine)

file(GLOB public_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/engine/*.h)
list(FILTER public_headers EXCLUDE REGEX "/engine_state\\.h$")  # shows what the library keeps inside
install(FILES ${public_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/engine)
install(FILES ${PROJECT_SOURCE_DIR}/engine/cpu/thread_pool.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/engine/cpu)  # for layers of the user's own

install(TARGETS engine EXPORT conv1d_engine_targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
set_target_properties(engine PROPERTIES OUTPUT_NAME conv1d_engine)
install(EXPORT conv1d_engine_targets NAMESPACE conv1d_engine:: FILE conv1d_engineTargets.cmake
        DESTINATION ${package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/conv1d_engineConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/conv1d_engineConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/conv1d_engineConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/conv1d_engineConfig.cmake
              ${PROJECT_BINARY_DIR}/conv1d_engineConfigVersion.cmake
        DESTINATION ${package_dir})
