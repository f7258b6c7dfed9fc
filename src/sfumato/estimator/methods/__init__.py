"""The methods of `Autoencoder`, grouped by what they do; each module is a mixin."""
