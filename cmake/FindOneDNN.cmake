# Finds oneDNN: a system library newer than 3.2 with OpenMP where CMake knows one, else the wheels that pyproject.toml
# asks for at build time, else the system's 3.2. Sets ONEDNN_FOUND, ONEDNN_INCLUDE_DIR, ONEDNN_LIBRARY, and, where the
# library is to be installed inside the package, ONEDNN_BUNDLED, ONEDNN_LIBRARY_FILE, ONEDNN_SONAME and ONEDNN_NOTICES.

set(ONEDNN_FOUND FALSE)
set(ONEDNN_BUNDLED FALSE)

execute_process(
  COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/locate_onednn.py
  OUTPUT_VARIABLE _onednn_paths OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE _onednn_wheels)

find_package(dnnl 3.2 CONFIG QUIET)
if(dnnl_FOUND AND DNNL_CPU_RUNTIME STREQUAL "OMP" AND (dnnl_VERSION VERSION_GREATER_EQUAL 3.3 OR NOT _onednn_wheels EQUAL 0))
  set(ONEDNN_FOUND TRUE)
  set(ONEDNN_LIBRARY DNNL::dnnl)
  message(STATUS "foveate: oneDNN ${dnnl_VERSION} from ${dnnl_DIR}")
elseif(_onednn_wheels EQUAL 0)
  list(GET _onednn_paths 0 ONEDNN_INCLUDE_DIR)
  list(GET _onednn_paths 1 ONEDNN_LIBRARY_FILE)
  list(SUBLIST _onednn_paths 2 -1 ONEDNN_NOTICES)
  set(ONEDNN_LIBRARY ${ONEDNN_LIBRARY_FILE})
  set(ONEDNN_SONAME libdnnl.so.3)
  set(ONEDNN_FOUND TRUE)
  set(ONEDNN_BUNDLED TRUE)
  message(STATUS "foveate: oneDNN from the wheel's ${ONEDNN_LIBRARY_FILE}")
endif()
