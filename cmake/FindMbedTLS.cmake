# Debian's mbedTLS 2.28 has neither a .pc file nor a CMake package; 3.6 has both. Only
# the crypto part is needed.
find_path(MBEDTLS_INCLUDE_DIR mbedtls/md.h)
find_library(MBEDTLS_CRYPTO_LIBRARY mbedcrypto)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MbedTLS REQUIRED_VARS MBEDTLS_CRYPTO_LIBRARY MBEDTLS_INCLUDE_DIR)
mark_as_advanced(MBEDTLS_INCLUDE_DIR MBEDTLS_CRYPTO_LIBRARY)
if(MbedTLS_FOUND AND NOT TARGET MbedTLS::mbedcrypto)
    add_library(MbedTLS::mbedcrypto UNKNOWN IMPORTED)
    set_target_properties(MbedTLS::mbedcrypto PROPERTIES
        IMPORTED_LOCATION "${MBEDTLS_CRYPTO_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${MBEDTLS_INCLUDE_DIR}")
endif()
