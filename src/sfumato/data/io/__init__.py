"""Files and objects in and out: arrays, tables, images, `.ts`."""
