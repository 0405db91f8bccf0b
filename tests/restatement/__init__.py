"""The paper's equations a second time, plainly: loops and numpy in float64, none of the tracker's code.

Why: a port can agree with itself and be wrong. Here every equation is written from the print, as the design reads
it, with its number above it, and the modules, run in float64, must give the same numbers to 1e-5.

Slips and gaps of the print, each named again where it matters:

- eqs. 3, 4: the sums over frames start at k = 1; the text stacks frames 0 to t-1, so frame 0 is summed too.
- eq. 4: the denominator's key has the index t-1 where the numerator has k; no scale is printed, 1/sqrt(128) is meant.
- Section III-B: each input of the memory encoder passes "three convolutional layers"; it is one convolution for each
  of the three.
- eq. 6: the label y_k has no position p; the filter is one cell large as printed; no weights of the samples, no
  projection and no activation are printed.
- eq. 7: V_S is called the label; the weights that make the equation true are the dual coefficients.
- eq. 9: the maximum is over V_S,t, the label, where the text takes the peak of the spatial map, R_S,t.
- eq. 10: L - 1 terms are summed, U_0 is left out, and the sum is divided by L; a queue with fewer is not covered.
- eq. 11: U = U_avg is in no case; a U below the mean and above the limit is in two.
- Section IV, positional encoding: the map is said to be added to the read-out; it is added to the decoder's features.
  "Concatenating" is told of as two coordinate channels; it is read as the same one map.
"""
