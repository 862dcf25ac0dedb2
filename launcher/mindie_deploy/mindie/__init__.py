"""What MindIE needs: versions, config.json, rank table, environment, container, error catalogue."""
