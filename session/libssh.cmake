# The library that the two legs speak SSH with: target `libssh`, built by etc/libssh in build/libssh (static,
# unpatched, series 0.12; with ASan and UBSan in the test build).  One line on failure: what was tried.
#
# Who speaks SSH links session_more: our door to it, and the linker's two wraps that belong to the door.
if(NOT TARGET libssh)
	if(LODGE_TEST)
		set(libssh_variant asan)
		set(libssh_words --asan)
	else()
		set(libssh_variant release)
		set(libssh_words)
	endif()
	execute_process(COMMAND ${CMAKE_SOURCE_DIR}/etc/libssh ${libssh_words} RESULT_VARIABLE libssh_status
	    ERROR_VARIABLE libssh_said OUTPUT_QUIET ERROR_STRIP_TRAILING_WHITESPACE)
	if(NOT libssh_status EQUAL 0)
		message(FATAL_ERROR "${libssh_said}")
	endif()
	set(libssh_home ${CMAKE_SOURCE_DIR}/build/libssh)
	find_package(Threads REQUIRED)

	add_library(libssh STATIC IMPORTED GLOBAL)
	set_target_properties(libssh PROPERTIES
	    IMPORTED_LOCATION ${libssh_home}/${libssh_variant}/src/libssh.a
	    INTERFACE_COMPILE_DEFINITIONS "LIBSSH_STATIC;SSH_SUPPRESS_DEPRECATED" # the message queue: callbacks cannot wait
	    INTERFACE_INCLUDE_DIRECTORIES
	    "${libssh_home}/source/include;${libssh_home}/${libssh_variant}/include;${libssh_home}/${libssh_variant}"
	    INTERFACE_LINK_LIBRARIES "PkgConfig::CRYPTO;Threads::Threads"
	    INTERFACE_LINK_OPTIONS "-Wl,--wrap=ssh_srv_pki_do_sign_sessionid,--wrap=ssh_pki_signature_verify")

	# Our door to it.  Only this file sees the library's private structures, laid out by the library's own config.h.
	add_library(session_more STATIC ${CMAKE_SOURCE_DIR}/session/ssh_more.c)
	set_source_files_properties(${CMAKE_SOURCE_DIR}/session/ssh_more.c PROPERTIES COMPILE_OPTIONS
	    "-include;${libssh_home}/${libssh_variant}/config.h"
	    OBJECT_DEPENDS ${libssh_home}/${libssh_variant}/config.h)
	target_include_directories(session_more PUBLIC ${CMAKE_SOURCE_DIR}/session)
	target_link_libraries(session_more PUBLIC lodge_flags base libssh)
endif()
