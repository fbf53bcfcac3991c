# Warnings, hardening and sanitizers, for our own targets only.
add_library(secretrt_flags INTERFACE)

include(CheckCCompilerFlag)
foreach(flag -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef
        -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wwrite-strings -Wformat=2
        -Wswitch-enum -Wvla -Walloca -Wnull-dereference -Wlogical-op -Wduplicated-cond
        -Wimplicit-fallthrough -Wdate-time
        -fstack-protector-strong -fstack-clash-protection -fcf-protection
        -ftrivial-auto-var-init=zero -fvisibility=hidden -ffunction-sections -fdata-sections)
    string(MAKE_C_IDENTIFIER "secretrt_has${flag}" known)
    check_c_compiler_flag(${flag} ${known})
    if(${known})
        target_compile_options(secretrt_flags INTERFACE ${flag})
    endif()
endforeach()
# Unwinding by frame pointers instead of tables: a sixth of the library's size.
target_compile_options(secretrt_flags INTERFACE
    $<$<CONFIG:MinSizeRel>:-fno-asynchronous-unwind-tables>
    $<$<CONFIG:MinSizeRel>:-fno-omit-frame-pointer>)
if(SECRETRT_WERROR)
    target_compile_options(secretrt_flags INTERFACE -Werror)
endif()
if(SECRETRT_SANITIZE)
    target_compile_options(secretrt_flags INTERFACE
        -fsanitize=${SECRETRT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(secretrt_flags INTERFACE -fsanitize=${SECRETRT_SANITIZE})
else()
    target_compile_options(secretrt_flags INTERFACE
        $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
endif()
