"""Recalibration as code that users can run."""

from audits.statistics.calibration import Recalibration
from schemas.report import Remedy

BINARY = '''

def recalibrate(probability: np.ndarray) -> np.ndarray:
    """Probabilities of class 1, any shape."""
    p = np.clip(np.asarray(probability, dtype="float64"), 1e-7, 1 - 1e-7)
    return recalibrate_logits(np.log(p / (1 - p)))


def recalibrate_logits(logits: np.ndarray) -> np.ndarray:
    """Log-odds before the sigmoid: exact where a probability is rounded to 1."""
    return 1 / (1 + np.exp(-(np.asarray(logits, dtype="float64") / TEMPERATURE + BIAS)))


def recalibrated_model(logits_model):
    """Of a model that ends in logits: the same with the numbers built in."""
    import keras

    scaled = keras.layers.Rescaling(1 / TEMPERATURE, BIAS)(logits_model.outputs[0])
    return keras.Model(logits_model.inputs, keras.layers.Activation("sigmoid")(scaled))
'''
MULTICLASS = '''

def recalibrate(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities (rows, classes)."""
    return recalibrate_logits(np.log(np.clip(np.asarray(probabilities, dtype="float64"), 1e-30, 1)))


def recalibrate_logits(logits: np.ndarray) -> np.ndarray:
    """Logits before the softmax, (rows, classes)."""
    scores = np.asarray(logits, dtype="float64") / TEMPERATURE
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def recalibrated_model(logits_model):
    """Of a model that ends in logits: the same with the temperature built in."""
    import keras

    scaled = keras.layers.Rescaling(1 / TEMPERATURE)(logits_model.outputs[0])
    return keras.Model(logits_model.inputs, keras.layers.Softmax()(scaled))
'''


def numbers(fitted: Recalibration) -> str:
    """The correction in words, for reports."""
    bias = f", bias {fitted.bias:+.3g}" if fitted.bias else ""
    return f"temperature {fitted.temperature:.3g}{bias}"


def recalibration_remedy(fitted: Recalibration, classes: int) -> Remedy:
    """Numbers of a fitted correction, in code for probabilities, for logits and for a Keras model."""
    text = (
        f"Divide the logits by {fitted.temperature:.3g}"
        + (f" and add {fitted.bias:.3g}" if fitted.bias else "")
        + " before the activation, or fit these numbers anew on held-out rows. Neither touches the order of the rows. "
        "If the model was trained for long on few rows, stop earlier or regularise, and it will be less sure by itself."
    )
    numbers = f"TEMPERATURE = {fitted.temperature:.6g}\n" + (f"BIAS = {fitted.bias:.6g}\n" if classes == 2 else "")
    return Remedy(text=text, code="import numpy as np\n\n" + numbers + (BINARY if classes == 2 else MULTICLASS))
