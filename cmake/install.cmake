# Libraries, headers, secretrt.pc and the CMake package.
install(TARGETS secretrt_shared secretrt_static EXPORT secretrtTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS secretrt_flags EXPORT secretrtTargets)
install(DIRECTORY include/secretrt DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT secretrtTargets NAMESPACE secretrt:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/secretrt)

configure_package_config_file(cmake/secretrtConfig.cmake.in "${PROJECT_BINARY_DIR}/secretrtConfig.cmake"
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/secretrt)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/secretrtConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/secretrtConfig.cmake" "${PROJECT_BINARY_DIR}/secretrtConfigVersion.cmake"
    cmake/FindMbedTLS.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/secretrt)

configure_file(pkg-config/secretrt.pc.in "${PROJECT_BINARY_DIR}/secretrt.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/secretrt.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
