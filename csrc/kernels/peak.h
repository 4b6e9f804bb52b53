/* peak.h -- how fast this machine could be: nothing but multiply-adds in registers. */
#ifndef ML_PEAK_H
#define ML_PEAK_H

/* Operations a second of the pool's threads together: the best of `bursts` bursts of some
** milliseconds each (shorter ones see a clock that no product can hold). kind: ML_F32, or a tier of
** bf16 (ML_GEMM_PAIRS, ML_GEMM_TILES) for the peak of its instruction. 0: not known here. */
double ml_peak(int kind, int bursts);

#endif
