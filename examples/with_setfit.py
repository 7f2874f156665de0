"""SetFit: a classifier of a few labelled texts, over the folder's model.

pip install setfit
lastword export mini --to folder --output model
python examples/with_setfit.py model
"""

import sys
import tempfile

from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments

texts = [
    "Copper tape around the raised bed stops snails and slugs.",
    "Water the seedlings in the morning, never at night.",
    "Prune the roses before the buds swell.",
    "The night train to Vienna has no dining car any more.",
    "Which carriages of the express go on to the coast?",
    "Change at the junction; the branch train waits.",
]
labels = ["garden"] * 3 + ["trains"] * 3

model = SetFitModel.from_pretrained(sys.argv[1], labels=["garden", "trains"])
vectors = model.encode(texts)  # before training
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(output_dir=folder, batch_size=4, num_epochs=1, report_to="none")
    trainer = Trainer(model, arguments, train_dataset=Dataset.from_dict({"text": texts, "label": labels}))
    trainer.train()

for text in ("The last train leaves at ten.", "Sow carrots in rows."):
    print(model.predict([text])[0], "-", text)
