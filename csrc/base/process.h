/* process.h -- what process.c and signal.c share: the child that signals are handed on to. */
#ifndef ML_PROCESS_H
#define ML_PROCESS_H

#include <signal.h>

extern volatile sig_atomic_t ml_signal_child; /* its process id; 0: none */

#endif
