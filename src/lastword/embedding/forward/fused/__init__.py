"""The fused forward pass: batches without padding, through the blocks of a Hugging Face model; files in order:
blocks, projection, layout, attention, decoder, proof, forward.
"""
