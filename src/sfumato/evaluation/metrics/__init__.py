"""What several families of measures share: distances, classifiers, standard errors."""
