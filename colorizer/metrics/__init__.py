"""How close coloured pictures are to the originals, per image and as Keras metrics.

One file per metric, each with a stateless function that gives one value per image and a class,
a `MeanOverImages`, that gives their mean over any number of batches.

The functions take what their formula needs: 8-bit RGB (`psnr`, `ssim`, `colourfulness`) or Lab
(`mean_delta_e_76`, `mean_delta_e_2000`). The classes all take the same: `y_true` and `y_pred` as
pictures in the networks' encoding, see `colorizer.metrics.encoded_pictures`.

`kid` and `fid` belong to a whole set of pictures and are functions of its features alone.
"""
