#include "shim_linux.h"
