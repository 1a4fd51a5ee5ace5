"""The living map: one HTML file that shows codes, decodes where the cursor is and takes images."""
